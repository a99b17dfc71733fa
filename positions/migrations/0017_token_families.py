"""Families of tokens."""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('positions', '0016_addresses_of_each_owner'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='TokenFamily',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('browser', 'browser'), ('bot', 'bot'), ('issued', 'issued')], editable=False, max_length=7)),
                ('name', models.CharField(blank=True, help_text='Given by the client, or by `issue_token --name`.', max_length=100)),
                ('read_only', models.BooleanField(default=False, editable=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('last_used_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, help_text='To within some minutes.')),
                ('expires_at', models.DateTimeField(editable=False, help_text='When the last token handed out so far expires; a refresh moves it.')),
                ('ends_at', models.DateTimeField(editable=False, help_text='No refresh goes beyond this.')),
                ('ended_at', models.DateTimeField(editable=False, null=True)),
                ('ended_because', models.CharField(blank=True, choices=[('logged_out', 'logged out'), ('new_login', 'another log-in in the same browser'), ('reused', 'a refresh token was used twice'), ('revoked', 'revoked'), ('password', 'the password was changed'), ('deactivated', 'the user was deactivated')], editable=False, max_length=11)),
                ('refresh_id', models.CharField(blank=True, editable=False, help_text='The `jti` of the one refresh token valid now.', max_length=32)),
                ('password_stamp', models.CharField(editable=False, help_text='Of the password with which it began: see `stamp`.', max_length=64)),
                ('user', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.CASCADE, related_name='token_families', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'token',
                'ordering': ('-created_at',),
                'indexes': [models.Index(fields=['expires_at'], name='token_family_expires_at')],
            },
        ),
    ]
