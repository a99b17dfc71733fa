/**
 * Starts Swagger UI on the document that the page names. Its own starter is an inline script, or asks a validator
 * on the internet about the document.
 */
{
  const host = document.getElementById("api-docs");
  SwaggerUIBundle({ domNode: host, url: host?.dataset.schema, deepLinking: true, validatorUrl: null });
}
