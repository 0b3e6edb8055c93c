// Comfort only: every page does its whole work without this file.
(() => {
  for (const button of navigator.clipboard ? document.querySelectorAll("[data-copy]") : []) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.querySelector(button.dataset.copy);
      await navigator.clipboard.writeText(source.value ?? source.innerText);
      button.nextElementSibling.textContent = button.dataset.done;
    });
  }

  // One short sentence is announced after the preview changed, not the whole letter.
  document.addEventListener("htmx:afterSwap", ({ target }) => {
    const status = document.querySelector("#preview-status");
    const news = target.querySelector("[data-status]")?.dataset.status;
    if (status && news && status.textContent !== news) status.textContent = news;
  });
})();
