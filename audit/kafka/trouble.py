"""What is wrong when a broker does not take what we bring: said so that somebody can put it right.

aiokafka says only "unable to bootstrap" when it cannot get in, or nothing but that time is up. So after such a failure
we go to the same doors once more, look at what is met there, and ask for the topic.
"""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Final, NamedTuple

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    IllegalSaslStateError,
    InvalidTimestampError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from audit.errors import Cause, ClockRefused, SinkUnavailable
from audit.kafka.connection import CLIENT_ID, Connection, Credentials
from audit.kafka.hang_up import hang_up

_ANSWER_MS: Final = 5000
_TOLD_SERVERS: Final = 3
_VAGUE = (KafkaConnectionError, TimeoutError, UnknownTopicOrPartitionError)
_NO_RIGHT: Final = "we have no right to the topic `{topic}`"
_Partitions = Sequence[tuple[int, int, int, Sequence[int], Sequence[int]]]


class _Trouble(NamedTuple):
    cause: Cause
    text: str


# In order: the first that fits. `{topic}` is filled in. No secret can stand in any: aiokafka's errors name users only.
_SAID: Final[tuple[tuple[tuple[type[BaseException], ...], Cause, str], ...]] = (
    ((Credentials,), Cause.CREDENTIALS, "{exc}"),
    ((ssl.SSLError,), Cause.TLS, "no TLS with it: {exc.reason}; does it speak TLS on this port?"),
    (
        (SaslAuthenticationFailed, IllegalSaslStateError),
        Cause.AUTHENTICATION,
        "our login is not accepted",
    ),
    ((UnsupportedSaslMechanismError,), Cause.AUTHENTICATION, "our sasl.mechanism is not known to it"),
    # The cluster's: the right to write to some topic is the right to be idempotent (Kafka 2.8), and we have none.
    ((TopicAuthorizationFailedError, ClusterAuthorizationFailedError), Cause.AUTHORIZATION, _NO_RIGHT),
    ((UnknownTopicOrPartitionError,), Cause.TARGET, "there is no topic `{topic}`"),
    (
        (InvalidTimestampError,),
        Cause.CLOCK,
        "our time is refused; is this machine's clock right?",
    ),
    ((KafkaConnectionError,), Cause.CONNECTION, "{exc}"),
    ((KafkaError,), Cause.OTHER, "{exc}"),
    ((TimeoutError,), Cause.TIMEOUT, "not all was acknowledged in time"),
    ((ConnectionRefusedError,), Cause.CONNECTION, "nobody listens there"),
)


async def ask(connection: Connection, topic: str, within_s: float) -> None:
    """Ask for the topic over a connection of its own, so that nobody who writes is held up or thrown away.

    Raises:
        SinkUnavailable: no server answers, lets us in and knows the topic; says what is wrong with each.
    """
    if (found := await _look(connection, topic, within_s)) is not None:
        raise SinkUnavailable(f"kafka: {found.text}", cause=found.cause)


async def trouble(exc: BaseException, connection: Connection, topic: str, within_s: float) -> SinkUnavailable:
    """What is wrong, after a client of ours failed: to be raised.

    Args:
        exc: What it failed with.
        connection: What it was made from.
        topic: What it wanted to write to or read.
        within_s: How long may be spent on finding out.
    """
    found = await _look(connection, topic, within_s) if isinstance(exc, _VAGUE) else None
    found = found or _named(exc, topic)
    made = ClockRefused if found.cause is Cause.CLOCK else SinkUnavailable
    return made(f"kafka: {found.text}", cause=found.cause)


async def _look(connection: Connection, topic: str, within_s: float) -> _Trouble | None:
    """Go to each server in turn; None if one lets us in and is well."""
    met: list[_Trouble] = []
    try:
        async with asyncio.timeout(within_s):
            for host, port, _ in collect_hosts(connection.bootstrap_servers):
                found = await _look_at(host, port, connection, topic)
                if found is None:
                    return None
                met.append(_Trouble(found.cause, f"{host}:{port}: {found.text}"))
    except TimeoutError:
        met.append(_Trouble(Cause.TIMEOUT, f"{connection.bootstrap_servers} does not answer"))
    return _Trouble(met[0].cause, "; ".join(each.text for each in met[:_TOLD_SERVERS]))


async def _look_at(host: str, port: int, connection: Connection, topic: str) -> _Trouble | None:
    try:
        conn = await create_conn(
            host, port, client_id=CLIENT_ID, request_timeout_ms=_ANSWER_MS, **connection.security()
        )
    except (KafkaError, OSError, TimeoutError) as exc:
        return _refused(exc, connection, topic)
    try:
        answer = await conn.send(MetadataRequest([topic], allow_auto_topic_creation=False))
    except (KafkaError, OSError, TimeoutError) as exc:
        return _refused(exc, connection, topic)
    finally:
        hang_up(conn)
    for code, name, _, partitions in answer.topics:
        if name == topic:
            return _standing(code, topic, partitions)
    return None


def _standing(code: int, topic: str, partitions: _Partitions) -> _Trouble | None:
    """What a broker's word about a topic means for who wants to write to it."""
    if code == UnknownTopicOrPartitionError.errno:
        return _Trouble(Cause.TARGET, f"there is no topic `{topic}`")
    if code == TopicAuthorizationFailedError.errno:
        return _Trouble(Cause.AUTHORIZATION, _NO_RIGHT.format(topic=topic))
    for _, number, leader, *_ in partitions:
        if leader < 0:
            return _Trouble(Cause.TARGET, f"partition {number} of `{topic}` has no leader")
    return None


def _refused(exc: BaseException, connection: Connection, topic: str) -> _Trouble:
    """What is met at a door. Who took the connection and hung up at the first word expected another one."""
    if isinstance(exc, ConnectionRefusedError) or not isinstance(exc, KafkaConnectionError | ConnectionError):
        return _named(exc, topic)
    protocol = connection.settings.security_protocol
    hint = f"is security_protocol `{protocol}` what it speaks?"
    if protocol.encrypted and connection.settings.tls.cert_file is None:
        hint += " Does it want a certificate of ours (tls.cert_file)?"
    return _Trouble(Cause.CONNECTION, f"hung up at the first word; {hint}")


def _named(exc: BaseException, topic: str) -> _Trouble:
    """What an exception says without asking anybody."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return _Trouble(Cause.TLS, f"its certificate is not accepted: {exc.verify_message}")
    for types, cause, text in _SAID:
        if isinstance(exc, types):
            return _Trouble(cause, text.format(exc=exc, topic=topic))
    return _Trouble(Cause.CONNECTION, getattr(exc, "strerror", None) or str(exc))
