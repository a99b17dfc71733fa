"""Trades for the positions that were written before there were any, as well as events and transaction ids tell them.

A batch is a transaction of its own, and takes the locks of its agents only: servers of the release before go on writing in
between. What they write to a position after its batch is missing among its trades; `check_books` names it, and the next
write, or `check_books --reconstruct`, books a balance. Interrupted and run again, it goes on where it stopped.
"""

from django.db import migrations

from positions.models.reconstruction import add_missing_trades, keys_of


def add_trades(apps, schema_editor):
    using = schema_editor.connection.alias
    models = [apps.get_model('positions', name) for name in ('Position', 'PositionEvent', 'Trade')]
    for keys in keys_of(models[0].objects.using(using).filter(last_trade_at=None)):
        add_missing_trades(*models, keys, using=using)


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('positions', '0013_wider_values'),
    ]

    operations = [
        migrations.RunPython(add_trades, migrations.RunPython.noop, elidable=True),
    ]
