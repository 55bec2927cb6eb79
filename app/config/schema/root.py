"""The whole file."""

from __future__ import annotations

from app.config.schema import checks, openclaw
from app.config.schema.agents import AgentsSchema
from app.config.schema.fields import Boolean, Duration, Enum, Integer, String
from app.config.schema.gateway import GatewaySchema
from app.config.schema.mcp import McpSchema
from app.config.schema.models import ModelsSchema
from app.config.schema.nesting import AnyObject, Nested
from app.config.schema.section import Section
from app.config.schema.tools import ToolsSchema
from app.config.settings import LogFormat, LoggingSettings, LogLevel, QueueMode, SessionSettings, Settings


def _main_key(text: str) -> str:
    return checks.filled(text).strip().lower()


class QueueSchema(Section):
    queue_mode = Enum(
        "What happens to a run of a busy session: it waits in the queue or is refused.",
        QueueMode,
        data_key="mode",
    )
    queue_cap = Integer("The most runs that may wait for one session.", low=0, high=10_000, data_key="cap")


class MaintenanceSchema(Section):
    unused = openclaw.MAINTENANCE
    prune_after_seconds = Duration(
        "Sessions that were not used for that long are removed.", data_key="pruneAfter"
    )
    max_entries = Integer(
        "The most sessions to keep (of each user of a trusted proxy); the oldest are removed.", low=1
    )


class SessionSchema(Section):
    makes = SessionSettings
    unused = openclaw.SESSION
    main_key = String("The name of an agent's main session.", check=_main_key)
    queue = Nested(QueueSchema, group=True)
    maintenance = Nested(MaintenanceSchema, group=True)


class StorageSchema(Section):
    storage_url = String(
        "Where sessions are stored: `sqlite:////path/to/file` or `postgresql://user:password@host/database`, "
        "also with libpq's parameters such as `?sslmode=verify-full` (see sessions.md). `DATABASE_URL` takes "
        "precedence. Not set: `sqlite:///<state dir>/gateway.sqlite`.",
        check=checks.storage_url,
        data_key="url",
    )


class RedisSchema(Section):
    redis_url = String(
        "Needed for more than one worker or host; `REDIS_URL` takes precedence.",
        check=checks.redis_url,
        data_key="url",
    )
    redis_ssl_verify = Boolean(
        "Whether the certificate of a `rediss://` server is checked. Not set: `OPENCLAW_REDIS_SSL_VERIFY=1` "
        "or `=0` in the environment decides. Heroku's has signed its own.",
        data_key="sslVerify",
    )


class LoggingSchema(Section):
    makes = LoggingSettings
    unused = openclaw.LOGGING
    level = Enum(
        "The lowest level to log.",
        LogLevel,
        aliases={"warn": "warning", "trace": "debug", "fatal": "error", "silent": "error"},
    )
    format = Enum("The format of log lines. Not set: `text` on a terminal, else `json`.", LogFormat)


class RootSchema(Section):
    """`env` is read before anything else, by `app/config/environment.py`."""

    defaults = Settings
    unused = openclaw.SECTIONS
    gateway = Nested(GatewaySchema)
    agents = Nested(AgentsSchema)
    models = Nested(ModelsSchema)
    tools = Nested(ToolsSchema)
    mcp = Nested(McpSchema)
    session = Nested(SessionSchema)
    storage = Nested(StorageSchema, group=True)
    redis = Nested(RedisSchema, group=True)
    logging = Nested(LoggingSchema)
    env = AnyObject("Environment variables for names that the environment does not have.", load_only=True)
