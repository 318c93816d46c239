/** Whether keys are letters of a text there, and nothing else. */
export function isWriting({ tagName, isContentEditable }: HTMLElement): boolean {
  return isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(tagName);
}
