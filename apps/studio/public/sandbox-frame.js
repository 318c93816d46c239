// In the frame for code of the reader's own: hands what it gets to a worker, and says if that ends.
addEventListener(
  'message',
  ({ data: { bootstrap, base, entry, texts, port } }) => {
    const url = URL.createObjectURL(new Blob([bootstrap], { type: 'text/javascript' }));
    const worker = new Worker(url);
    worker.addEventListener('error', (event) => {
      event.preventDefault();
      parent.postMessage(event.message || 'its worker is out of memory or could not start', '*');
    });
    worker.postMessage({ base, entry, texts, port }, [port]);
  },
  { once: true },
);
