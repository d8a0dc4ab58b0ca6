/** Light, dark, or as the system has it. */
const key = 'potluck-theme';
const themes = ['system', 'light', 'dark'];

function apply(): void {
  const theme = localStorage.getItem(key);
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

export function nextTheme(): void {
  const at = themes.indexOf(localStorage.getItem(key) ?? 'system');
  localStorage.setItem(key, themes[(at + 1) % themes.length]!);
  apply();
}

apply();
