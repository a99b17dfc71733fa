"""Addresses of wallets are unique for each owner, no longer for all.

The key of a wallet, which positions and trades have, stays the column `address`: servers of the release before go on
working. What they add gets its `public_address` and `owner_id` from the triggers.
"""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from positions.models.owners import create_triggers, drop_triggers

KEYS = [("positions_wallet", "address"), ("positions_position", "wallet_id"), ("positions_trade", "wallet_id")]


def widen_keys(apps, schema_editor):
    """By hand: Django would also make the foreign keys anew, which looks at every row and forgets 0015's ON DELETE."""
    if schema_editor.connection.vendor == "postgresql":
        for table, column in KEYS:
            schema_editor.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE varchar(80)")


def fill(apps, schema_editor):
    """Last: PostgreSQL alters no table with changed rows whose foreign keys it has yet to look at."""
    address = "address" if schema_editor.connection.vendor == "sqlite" else "public_address"  # or the trigger
    schema_editor.execute(
        f"UPDATE positions_wallet SET public_address = {address},"
        " owner_id = (SELECT owner_id FROM positions_agent WHERE id = agent_id)"
    )


class Migration(migrations.Migration):

    dependencies = [
        ('positions', '0015_deletions_by_old_servers'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(widen_keys, migrations.RunPython.noop)],
            state_operations=[
                migrations.RenameField('wallet', 'address', 'key'),
                migrations.AlterField(
                    model_name='wallet',
                    name='key',
                    field=models.CharField(blank=True, db_column='address', default=None, editable=False, max_length=80, primary_key=True, serialize=False),
                ),
            ],
        ),
        migrations.AddField(
            model_name='wallet',
            name='address',
            field=models.CharField(db_column='public_address', db_default='', default='', max_length=64, validators=[django.core.validators.RegexValidator('^[1-9A-HJ-NP-Za-km-z]+\\Z', '“%(value)s” is not a Solana address: base58 has no 0, O, I, l or other signs.', 'base58')]),
        ),
        migrations.AlterModelOptions(
            name='wallet',
            options={'base_manager_name': 'objects', 'ordering': ['address', 'key']},
        ),
        migrations.AddField(
            model_name='wallet',
            name='owner',
            field=models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='agent',
            constraint=models.UniqueConstraint(fields=('id', 'owner'), name='agent_owner_is_a_key'),
        ),
        migrations.AddConstraint(
            model_name='wallet',
            constraint=models.UniqueConstraint(fields=('owner', 'address'), name='wallet_address_unique_per_owner'),
        ),
        migrations.RunPython(create_triggers, drop_triggers),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
