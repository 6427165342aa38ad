"""Tables."""

from .extensions import db


class Event(db.Model):
    @classmethod
    def record(cls, org, event):
        db.session.add(cls(org=org, **event))


class Dashboard(db.Model):
    @classmethod
    def all(cls, org):
        return cls.query.filter_by(org=org).all()

    @classmethod
    def get_by_slug(cls, slug):
        return cls.query.filter_by(slug=slug).one_or_none()

    def to_dict(self):
        return {"id": self.id, "name": self.name}


class Favorite(db.Model):
    pass


class Alert(db.Model):
    pass


class Tag(db.Model):
    pass


class Share(db.Model):
    pass
