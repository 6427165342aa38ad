"""Of the time before."""


def old_handler():
    from .shop import db

    db.session.commit()
    return ""
