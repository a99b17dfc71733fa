from django.contrib import admin
from django.urls import include, path

handler403 = "realtime.web.views.forbidden"
handler404 = "realtime.web.views.not_found"
handler500 = "realtime.web.views.server_error"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("realtime.urls")),
]
