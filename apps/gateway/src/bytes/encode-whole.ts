import type { Compressor, Quality } from './compressor.ts'
import type { Coding } from './negotiate.ts'

/**
 * A whole body in a coding, at once or from the thread pool; undefined where it goes out as it is: too much is being encoded, it would get no
 * smaller, or there is no memory for it.
 */
export function encodeWhole(
  compressor: Pick<Compressor, 'encode'>,
  body: Buffer,
  coding: Coding,
  quality: Quality
): Buffer | undefined | Promise<Buffer | undefined> {
  try {
    const encoded = compressor.encode(body, coding, quality)
    return encoded instanceof Promise ? encoded.catch(asItIs) : encoded
  } catch (error) {
    return asItIs(error)
  }
}

/** zlib fails for want of memory alone, which is no reason to fail an answer that is there. */
function asItIs(_error: unknown): undefined {
  return undefined
}
