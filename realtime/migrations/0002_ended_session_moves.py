"""The model is `positions.EndedSession` from now on, with the same table: only the state changes."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ("realtime", "0001_initial"),
        ("positions", "0002_ended_session"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("EndedSession")]),
    ]
