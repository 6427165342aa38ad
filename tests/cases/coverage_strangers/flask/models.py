"""The tables."""

from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()


class Basket(db.Model):
    """What somebody wants."""

    id = db.Column(db.Integer, primary_key=True)


class Order(db.Model):
    """What somebody has bought."""

    id = db.Column(db.Integer, primary_key=True)
