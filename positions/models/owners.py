"""The owner of a wallet is that of its agent: triggers of the database keep it so, whatever writes.

So an address can be unique for each owner. An agent is not given to a user who has a wallet of the same address: the
write fails with a sentence (IntegrityError).

On SQLite a migration that changes a column of Agent or Wallet makes the table anew, without its triggers: it must call
`create_triggers` again (tests/positions/test_wallets.py).
"""

from __future__ import annotations

from typing import Any

HAS_ONE = "the new owner of this agent has a wallet with the same address already"

# FOR KEY SHARE, as the foreign key's own check: the owner cannot change until the wallet is committed, but writers of
# the agent's positions need not wait. In the search path of now: pg_restore has none.
_POSTGRESQL = f"""
CREATE OR REPLACE FUNCTION positions_wallet_owner() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    SELECT owner_id INTO NEW.owner_id FROM positions_agent WHERE id = NEW.agent_id FOR KEY SHARE;
    IF NEW.public_address = '' THEN NEW.public_address := split_part(NEW.address, ':', 1); END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION positions_agent_owner() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (
        SELECT FROM positions_wallet own JOIN positions_wallet other USING (public_address)
        WHERE own.agent_id = NEW.id AND other.owner_id = NEW.owner_id AND other.agent_id <> NEW.id
    ) THEN
        RAISE unique_violation USING MESSAGE = '{HAS_ONE}', CONSTRAINT = 'wallet_address_unique_per_owner';
    END IF;
    UPDATE positions_wallet SET owner_id = NEW.owner_id WHERE agent_id = NEW.id;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER positions_wallet_owner BEFORE INSERT OR UPDATE OF agent_id, owner_id ON positions_wallet
    FOR EACH ROW EXECUTE FUNCTION positions_wallet_owner();
CREATE OR REPLACE TRIGGER positions_agent_new AFTER INSERT ON positions_agent
    FOR EACH ROW EXECUTE FUNCTION positions_agent_owner();
CREATE OR REPLACE TRIGGER positions_agent_owner AFTER UPDATE OF owner_id ON positions_agent
    FOR EACH ROW WHEN (OLD.owner_id <> NEW.owner_id) EXECUTE FUNCTION positions_agent_owner();
"""  # noqa: S608

_OF_WALLET = "SELECT owner_id FROM positions_agent WHERE id = NEW.agent_id"
_HAND_OVER = f"""
    SELECT RAISE(ABORT, '{HAS_ONE}') FROM positions_wallet own JOIN positions_wallet other USING (public_address)
        WHERE own.agent_id = NEW.id AND other.owner_id = NEW.owner_id AND other.agent_id <> NEW.id;
    UPDATE positions_wallet SET owner_id = NEW.owner_id WHERE agent_id = NEW.id;
"""  # noqa: S608
_SQLITE = {
    "positions_wallet_new": f"""AFTER INSERT ON positions_wallet BEGIN
        UPDATE positions_wallet SET owner_id = ({_OF_WALLET}), public_address = CASE
            WHEN NEW.public_address <> '' THEN NEW.public_address
            WHEN instr(NEW.address, ':') THEN substr(NEW.address, 1, instr(NEW.address, ':') - 1)
            ELSE NEW.address END
        WHERE address = NEW.address;
    END""",  # noqa: S608
    "positions_wallet_owner": f"""AFTER UPDATE OF agent_id, owner_id ON positions_wallet
        WHEN NEW.owner_id IS NOT ({_OF_WALLET}) BEGIN
        UPDATE positions_wallet SET owner_id = ({_OF_WALLET}) WHERE address = NEW.address;
    END""",  # noqa: S608
    "positions_agent_new": f"AFTER INSERT ON positions_agent BEGIN {_HAND_OVER} END",
    "positions_agent_owner": f"""AFTER UPDATE OF owner_id ON positions_agent
        WHEN OLD.owner_id <> NEW.owner_id BEGIN {_HAND_OVER} END""",
}


def create_triggers(apps: Any, schema_editor: Any) -> None:
    """Create the triggers, or replace them (a migration's RunPython)."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(_POSTGRESQL, params=None)
        return
    for name, trigger in _SQLITE.items():
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {name}", params=None)
        schema_editor.execute(f"CREATE TRIGGER {name} {trigger}", params=None)


def drop_triggers(apps: Any, schema_editor: Any) -> None:
    """Undo `create_triggers`."""
    if schema_editor.connection.vendor == "postgresql":
        for function in ("positions_wallet_owner", "positions_agent_owner"):
            schema_editor.execute(f"DROP FUNCTION IF EXISTS {function} CASCADE")
        return
    for name in _SQLITE:
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {name}")
