/** How values are kept: as bytes in Redis, as they are in memory. */
export type CacheCodec = {
  encode(value: unknown): Buffer | string
  /** May throw for bytes it cannot read, which another version of the process may have written: they then count as absent. */
  decode(bytes: Buffer): unknown
  /** What a value takes in memory, bytes; asked when it is kept and again at `resize`. */
  sizeOf(value: unknown): number
}
