export interface Coverage { readonly x?: number }
