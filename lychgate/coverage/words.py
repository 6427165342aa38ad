"""The words that say what a call does where its code is not at hand: changes something, reads, or neither.

Chosen on the labelled set of `tests/cases/coverage`; a service adds its own in its configuration.
"""

import re
from typing import Final


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


VERBS: Final = _set(
    """
    accept activate add adjust allocate append apply approve archive assign attach ban block book bulk cancel
    capture change charge clear close complete confirm create deactivate decline delete deliver deny deposit
    detach disable dispatch edit enable enrol enroll erase exclude finalize fulfil fulfill grant import insert
    invalidate invite issue link lock mark merge modify move mutate open patch pay persist place post promote
    publish purge put redeem refund register reject release remove rename reopen replace reserve reset resolve
    restore retire retry revoke rotate save schedule set settle ship store submit subscribe suspend swap sync
    toggle transfer unassign unblock unlink unlock unpublish unsubscribe update upload upsert void withdraw
    write
    """
)
"""First words of the names of handlers and of calls that change something."""
SURE_WRITERS: Final = _set(
    """
    abulk_create abulk_update acreate adelete aget_or_create asave aupdate aupdate_or_create bulk_create
    bulk_insert_mappings bulk_save_objects bulk_update bulk_update_mappings bulk_write commit
    copy_records_to_table copy_to_table delete_many delete_one find_one_and_delete find_one_and_replace
    find_one_and_update get_or_create insert_many insert_one put_item put_object replace_one save save_m2m
    soft_delete unlink update_many update_one update_or_create upsert write_bytes write_text
    """
)
"""Methods that write, whatever they are called on."""
DOUBTFUL_WRITERS: Final = _set(
    """
    add add_all append clear create delete discard extend insert merge pop popitem put remove rename set
    setdefault store touch update write
    """
)
"""Methods that write where they are called on something that keeps data."""
KEEPERS: Final = _set(
    """
    bucket collection conn connection crud cur cursor dao database db gateway manager mapper mongo objects orm
    pool queryset repo repos repository s3 session sessions storage store stores table tables transaction tx
    uow
    """
)
"""Words in the name of what keeps data."""
EXECUTING: Final = _set(
    """
    aexecute exec exec_driver_sql execute execute_many executemany executescript fetch fetch_all fetch_one
    fetch_val fetchall fetchone fetchrow fetchval raw scalar scalars
    """
)
"""Methods that take SQL."""
SQL_WRITES: Final = re.compile(
    r"^\s*(?:--[^\n]*\n\s*)*(?:(?:insert|update|delete|merge|replace|create|drop|alter|truncate|call|copy|grant|revoke)\b"
    r"|with\b.*\b(?:insert\s+into|update\s+\w|delete\s+from)\b)",
    re.IGNORECASE | re.DOTALL,
)
BUILDERS: Final = frozenset({"insert", "update", "delete", "upsert"})
"""SQLAlchemy's statements that write, as functions and as methods of a table."""
OPENING: Final = frozenset({"atomic", "begin", "begin_nested", "transaction", "unit_of_work"})
"""What a `with` ends by committing."""
HARMLESS_NOUNS: Final = _set(
    """
    attribute attributes cache context cookie cookies counter extra filter filters flash gauge header headers
    log logs message messages metric metrics option options param params span state status tag tags template
    timezone trace
    """
)
"""`set_cookie` changes nothing that is kept."""
HARMLESS_OWNERS: Final = _set(
    """
    cache client console cookies counter flash gauge headers histogram http httpx log logger logging metrics
    params redis_cache request requests resp response sentry sentry_sdk span stats statsd structlog templates
    tracer
    """
)
"""Whose methods change nothing that is kept, or not here."""
HARMLESS_MODULES: Final = (
    "aiohttp.web.",
    "asyncio.Lock",
    "asyncio.Semaphore",
    "base64.",
    "builtins.",
    "collections.",
    "contextlib.",
    "copy.",
    "dataclasses.",
    "datetime.",
    "decimal.",
    "django.http.",
    "django.shortcuts.render",
    "django.shortcuts.redirect",
    "django.urls.",
    "enum.",
    "fastapi.Depends",
    "fastapi.Response",
    "fastapi.responses.",
    "flask.jsonify",
    "flask.make_response",
    "flask.redirect",
    "flask.render_template",
    "flask.request",
    "flask.session",
    "flask.url_for",
    "flask.g",
    "functools.",
    "hashlib.",
    "hmac.",
    "itertools.",
    "json.",
    "logging.",
    "math.",
    "operator.",
    "re.",
    "rest_framework.response.",
    "secrets.",
    "starlette.responses.",
    "string.",
    "structlog.",
    "time.",
    "typing.",
    "uuid.",
)
"""Modules whose functions neither change what is kept nor fail in a way that would leave a change unrecorded."""
SAYS_NOTHING: Final = ("builtins.object.", "typing.Any.")
"""What is called on a parameter of which nothing is said: it can be anybody's."""
HOOKS: Final = _set(
    """
    create delete destroy form_valid partial_update patch perform_create perform_destroy perform_update post put save
    update
    """
)
"""Methods of a framework's classes that save when they are called by `super()`."""
GATHERING: Final = frozenset({"append", "appendleft", "extend", "setdefault", "pop", "popitem", "discard", "clear"})
"""What is done to lists and dictionaries of the request's own."""
UNDOING: Final = frozenset({"rollback", "arollback", "close", "aclose", "expunge", "capture_exception", "exc_info"})
"""What is called to clean up after a failure."""
READING_VERBS: Final = _set(
    """
    all as as_dict asdict build can check count decode describe dict dump dumps encode ensure errors exists fetch
    filter find first form format from get getlist group has hash having is items iter join json keys last len
    limit list load loads lookup lower make max min model model_copy model_dump model_validate new now offset
    one order parse query read render resolve search select serialize sort split strip sum text to union upper
    url validate values verify where
    """
)
"""First words of the names of calls that only read or make something."""
REFUSING: Final = frozenset({"abort"})
"""Flask's way to raise."""
MAY_REFUSE: Final = frozenset(
    {"get_object_or_404", "get_list_or_404", "aget_object_or_404", "get_or_404", "first_or_404", "one_or_404"}
)
"""What raises when there is nothing there."""
EMITTING: Final = frozenset(
    {"emit", "emit_durable", "emit_and_wait", "recording", "recording_durable", "recorded", "changing"}
)
"""Methods of `audit.producer.AuditProducer` and its outbox; used by `with` and as a decorator they see to both ends."""
AWAITED: Final = frozenset({"emit_durable", "recording_durable"})
"""Those that do nothing unless they are awaited."""
AUDITORS: Final = frozenset({"audit", "auditor", "audits", "auditing", "outbox"})
"""Words in the name of what emits, where its type is not known."""
RUNNING: Final = frozenset({"to_thread", "run_in_threadpool", "run_in_executor", "sync_to_async", "run_sync"})
"""What runs a function it is given, and is awaited until it has run."""
TOGETHER: Final = frozenset({"gather", "wait_for", "shield"})
"""What awaits its arguments."""


def words(name: str) -> list[str]:
    """`createOrder` and `create_order` -> `create`, `order`."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)]


def verb(name: str, more: frozenset[str] = frozenset()) -> str | None:
    """The first word of a name, if it is one that changes something."""
    found = words(name)
    return found[0] if found and (found[0] in VERBS or found[0] in more) else None
