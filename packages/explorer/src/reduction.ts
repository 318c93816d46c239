export interface Reduction { ranked: Int32Array; rank(): number }
