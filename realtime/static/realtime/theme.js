/* Before anything is painted: the theme that was chosen. Not a module, since modules wait for the page. */
{
  let theme = null;
  try {
    theme = localStorage.getItem("nexgent.theme");
  } catch {
    // storage is disabled: the system's theme
  }
  if (theme) document.documentElement.dataset.theme = theme;
}
