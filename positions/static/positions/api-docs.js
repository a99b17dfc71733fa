/**
 * Starts Swagger UI on the document that the page names. Its own starter is an inline script, or asks a validator
 * on the internet about the document.
 */
SwaggerUIBundle({
  domNode: document.getElementById("api-docs"),
  url: document.getElementById("api-docs").dataset.schema,
  deepLinking: true,
  validatorUrl: null,
});
