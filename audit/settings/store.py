"""Section `store`: PostgreSQL and who logs in to it."""

from urllib.parse import quote

from pydantic import Field, SecretStr

from audit.private_file import PrivatePath, read_secret
from audit.settings.section import Section


class LoginSettings(Section):
    """One database login."""

    user: str
    password: SecretStr | None = Field(None, description="Or `password_file`.")
    password_file: PrivatePath | None = Field(None, description="A file that holds it, one line.")

    def secret(self) -> str:
        """The password's text; empty if none is configured.

        Raises:
            OSError: the file cannot be read, or others can.
        """
        if self.password_file is not None:
            return read_secret(self.password_file)
        return self.password.get_secret_value() if self.password is not None else ""


class StoreSettings(Section):
    """Section `store`: PostgreSQL, with a login for each of the three who come to it."""

    host: str = "127.0.0.1"
    port: int = Field(5432, gt=0, lt=65536)
    database: str = "lychgate"
    owner: LoginSettings = Field(LoginSettings(user="postgres"), description="Brings the store forward.")
    writer: LoginSettings = Field(LoginSettings(user="audit_writer"), description="Inserts, and nothing else.")
    reader: LoginSettings = Field(LoginSettings(user="audit_reader"), description="Reads one tenant's rows.")
    keeper: LoginSettings = Field(LoginSettings(user="audit_keeper"), description="Keeps house: retention, seals.")
    pool_max_count: int = Field(4, gt=0, description="Connections of the reader.")
    statement_timeout_s: float = Field(10.0, gt=0, description="A query that takes longer is given up.")
    premake_days: int = Field(7, gt=0, description="Partitions made ahead.")
    keep_days: int = Field(28, gt=0, description="Partitions made behind, for late events; within audit.retention.")

    def dsn(self, login: LoginSettings) -> str:
        """The connection URL of a login, password included: for drivers, never for logs."""
        secret = login.secret()
        credentials = quote(login.user, safe="") + (f":{quote(secret, safe='')}" if secret else "")
        return f"postgresql://{credentials}@{self.host}:{self.port}/{self.database}"
