"""Ended sessions belong to `positions.accounts` now. The table stays as `realtime` made it: only the state moves, so that
servers of the release before go on reading and writing it while the new ones start.
"""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("positions", "0001_initial"),
        ("realtime", "0001_initial"),  # makes the table
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="EndedSession",
                    fields=[
                        ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                        ("ended_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                        ("expires_at", models.DateTimeField(editable=False, help_text="When the last of its tokens runs out by itself, and the row with it.")),
                        ("user", models.ForeignKey(editable=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL)),
                    ],
                    options={
                        "db_table": "realtime_endedsession",
                        "indexes": [models.Index(fields=["expires_at"], name="ended_session_expires_at")],
                    },
                ),
            ],
        ),
    ]
