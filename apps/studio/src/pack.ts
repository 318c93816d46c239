/** Texts in links: deflated, then base64 with the letters that an address may have. */

/** A text in a link may unpack to at most this much: a link is small, but it may hold a bomb. */
const UNPACKED_BYTES_MAX = 1 << 20;

/** Packs a text. */
export async function pack(text: string): Promise<string> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream('deflate-raw'));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** Unpacks a text. Throws Error (one line) if it is none, or too long. */
export async function unpack(packed: string): Promise<string> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = Uint8Array.from(atob(packed.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0));
  } catch {
    throw new Error('link: unpack: a text in it is damaged');
  }
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw')).getReader();
  const decoder = new TextDecoder();
  let text = '';
  try {
    for (let length = 0; ;) {
      const { done, value } = await reader.read();
      if (done) return text + decoder.decode();
      length += value.length;
      if (length > UNPACKED_BYTES_MAX) break;
      text += decoder.decode(value, { stream: true });
    }
  } catch {
    throw new Error('link: unpack: a text in it is damaged');
  }
  await reader.cancel();
  throw new Error(`link: unpack: a text in it is longer than ${UNPACKED_BYTES_MAX} bytes`);
}
