"""Create, read, update."""

from sqlmodel import Session, select

from .models import User, UserCreate


def create_user(*, session: Session, user_create: UserCreate) -> User:
    db_obj = User.model_validate(user_create)
    session.add(db_obj)
    session.commit()
    session.refresh(db_obj)
    return db_obj


def update_user(*, session: Session, db_user: User, user_in) -> User:
    session.add(db_user)
    session.commit()
    return db_user


def authenticate(*, session: Session, email: str, password: str) -> User | None:
    return session.exec(select(User).where(User.email == email)).first()
