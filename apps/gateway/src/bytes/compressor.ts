import type { Transform } from 'node:stream'
import {
  type BrotliOptions,
  brotliCompress,
  brotliCompressSync,
  constants,
  createBrotliCompress,
  createGzip,
  createZstdCompress,
  gzip,
  gzipSync,
  type ZlibOptions,
  type ZstdOptions,
  zstdCompress,
  zstdCompressSync
} from 'node:zlib'
import type { Coding } from './negotiate.ts'

/** `fast` for what goes through once, `best` for what is kept and served many times. */
export type Quality = 'fast' | 'best'

export type CompressorOptions = {
  /** Bodies that may be under way in the thread pool. */
  concurrency: number
  /** Encoded streams that may be open; each holds up to about 1 MB. */
  streams: number
}

export type Compressor = {
  /**
   * Encodes a whole body. Small ones are done at once, larger ones in the thread pool. `undefined`: it goes out as it is, because as
   * much as allowed is under way or the coding does not make it smaller. Rejects only when zlib fails (out of memory).
   */
  encode(body: Buffer, coding: Coding, quality: Quality): Buffer | undefined | Promise<Buffer | undefined>
  /**
   * What encodes a body that is too long to hold, with backpressure; `undefined` while as many as allowed are open. It counts until
   * it is closed, so destroy it when the client goes away.
   */
  createEncoder(coding: Coding): Transform | undefined
  /** Bodies in the thread pool now. */
  readonly inFlight: number
}

/** Levels by measurement (docs/gateway-design.md): the point from which more time makes little difference. */
const LEVEL = { fast: { br: 3, zstd: 3, gzip: 5 }, best: { br: 6, zstd: 9, gzip: 9 } } as const

/**
 * Bytes up to which encoding on the main thread holds the event loop for less than about 150 µs. The pool costs the main thread
 * 60–100 µs by itself, so that below this it would save nothing.
 */
const AT_ONCE = {
  fast: { br: 14_000, zstd: 25_000, gzip: 9_000 },
  best: { br: 5_000, zstd: 6_000, gzip: 5_000 }
} as const

/** Window of an encoded stream, as a power of two: 256 KiB in place of brotli's 4 MiB, since many may be open. */
const STREAM_WINDOW = 18

export function createCompressor(options: CompressorOptions): Compressor {
  let inFlight = 0
  let streams = 0
  return {
    encode(body, coding, quality) {
      if (body.length <= AT_ONCE[quality][coding]) return smaller(encodeNow(body, coding, quality), body)
      if (inFlight >= options.concurrency) return undefined
      inFlight++
      return new Promise((resolve, reject) => {
        encodeLater(body, coding, quality, (error, encoded) => {
          inFlight--
          if (error === null) resolve(smaller(encoded, body))
          else reject(error)
        })
      })
    },
    createEncoder(coding) {
      if (streams >= options.streams) return undefined
      const encoder = streamOf(coding)
      streams++
      encoder.once('close', () => streams--)
      return encoder
    },
    get inFlight() {
      return inFlight
    }
  }
}

function smaller(encoded: Buffer, body: Buffer): Buffer | undefined {
  return encoded.length < body.length ? encoded : undefined
}

function encodeNow(body: Buffer, coding: Coding, quality: Quality): Buffer {
  if (coding === 'zstd') return zstdCompressSync(body, zstdOptions(quality, body.length))
  if (coding === 'br') return brotliCompressSync(body, brotliOptions(quality, body.length))
  return gzipSync(body, gzipOptions(quality))
}

type Done = (error: Error | null, encoded: Buffer) => void

function encodeLater(body: Buffer, coding: Coding, quality: Quality, done: Done): void {
  if (coding === 'zstd') zstdCompress(body, zstdOptions(quality, body.length), done)
  else if (coding === 'br') brotliCompress(body, brotliOptions(quality, body.length), done)
  else gzip(body, gzipOptions(quality), done)
}

function streamOf(coding: Coding): Transform {
  if (coding === 'zstd') {
    const { params } = zstdOptions('fast', undefined)
    return createZstdCompress({ params: { ...params, [constants.ZSTD_c_windowLog]: STREAM_WINDOW } })
  }
  if (coding === 'br') {
    const { params } = brotliOptions('fast', 0)
    return createBrotliCompress({ params: { ...params, [constants.BROTLI_PARAM_LGWIN]: STREAM_WINDOW } })
  }
  return createGzip(gzipOptions('fast'))
}

function brotliOptions(quality: Quality, size: number): BrotliOptions {
  return {
    params: {
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_QUALITY]: LEVEL[quality].br,
      [constants.BROTLI_PARAM_SIZE_HINT]: size
    }
  }
}

function zstdOptions(quality: Quality, size: number | undefined): ZstdOptions {
  const params = { [constants.ZSTD_c_compressionLevel]: LEVEL[quality].zstd }
  return size === undefined ? { params } : { params, pledgedSrcSize: size }
}

function gzipOptions(quality: Quality): ZlibOptions {
  return { level: LEVEL[quality].gzip }
}
