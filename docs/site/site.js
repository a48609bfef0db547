// A browser gives a page from disk no worker for the search: the search box is hidden then.
if (location.protocol === "file:") document.documentElement.classList.add("from-disk");
