/** Widest line by default: what survives a reply or two in a mail of 80 columns. */
export const WIDTH_DEFAULT = 76;
