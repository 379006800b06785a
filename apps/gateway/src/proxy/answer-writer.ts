import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Transform } from 'node:stream'
import type { FaultLog } from '@skerry/service'
import type { Dispatcher } from 'undici'
import { describeCoding, describeVariants } from '../bytes/coding-headers.ts'
import { compressible } from '../bytes/compressible.ts'
import type { Compressor } from '../bytes/compressor.ts'
import { encodeWhole } from '../bytes/encode-whole.ts'
import { retag } from '../bytes/etags.ts'
import { type Coding, negotiate, ON_THE_WAY } from '../bytes/negotiate.ts'
import { limitedAddress } from '../door/address.ts'
import type { Visit } from '../door/visit.ts'
import type { Heads, ServiceHead } from '../head/heads.ts'
import { endWhole } from '../head/http1-response.ts'
import { CallerGoneError } from '../upstreams/errors.ts'
import type { Behind, SlowAnswer, Spool } from './spool.ts'

export type AnswerWriterDeps = {
  compressor: Compressor
  /** Bodies below are not worth a coding. */
  compressMinBytes: number
  /** Bodies up to this are encoded as a whole, longer ones as they come. */
  compressWholeBytes: number
  heads: Heads
  spool: Pick<Spool, 'add'>
  /** Takes in what failed in the gateway's own code. */
  onFault: FaultLog
}

/** Bytes up to which copying a body costs less than sending it apart from its head. */
export const ONE_WRITE = 16_384

/**
 * Writes the answer of a service to its client as it comes, in a coding that the client takes. What the client does not take at once waits
 * in the spool; a live stream waits at its service. Parts of the body are only good until the call returns.
 */
export class AnswerWriter implements SlowAnswer {
  private readonly deps: AnswerWriterDeps
  private readonly visit: Visit
  private readonly res: ServerResponse
  /** Bytes of the body still to come, when its length is known. */
  private missing = -1
  private encoder: Transform | undefined
  /** Its service waits for its client. */
  private paced = false
  private behind: Behind | undefined
  private controller: Dispatcher.DispatchController | undefined
  given = 0
  private whole: (ServiceHead & { status: number; coding: Coding; parts: Buffer[] }) | undefined

  constructor(deps: AnswerWriterDeps, visit: Visit, res: ServerResponse) {
    this.deps = deps
    this.visit = visit
    this.res = res
  }

  /** @param stream the answer does not end by itself */
  head(status: number, came: IncomingHttpHeaders, ours: Readonly<Record<string, string>>, stream: boolean): void {
    const { visit, res, deps } = this
    this.paced = stream
    const { list, common } = deps.heads.ofService(came, ours)
    const length = came['content-length'] === undefined ? undefined : Number(came['content-length'])
    const { headers } = visit.raw
    if (status === 304) retagPairs(list, headers)
    else if (compressible(visit.method, status, came, length, deps.compressMinBytes)) {
      const coding = negotiate(headers['accept-encoding'] as string | undefined, ON_THE_WAY)
      if (coding !== undefined && length !== undefined && length <= deps.compressWholeBytes) {
        this.whole = { status, list, common, coding, parts: [] }
        return
      }
      this.encoder = coding === undefined ? undefined : deps.compressor.createEncoder(coding)
      if (this.encoder !== undefined) {
        describeCoding(list, coding!, undefined)
        deps.heads.write(res, visit, status, list, common)
        // Out of memory: the client learns from its connection that the answer is not whole.
        this.encoder.on('error', (error) => {
          deps.onFault('encoder', error)
          this.destroy()
        })
        this.encoder.pipe(res)
        return
      }
      describeVariants(list)
    }
    if (length !== undefined) this.missing = length
    deps.heads.write(res, visit, status, list, common)
  }

  data(chunk: Buffer, controller: Dispatcher.DispatchController): void {
    const { res, encoder } = this
    if (this.whole !== undefined) {
      this.whole.parts.push(Buffer.from(chunk))
      return
    }
    if (encoder === undefined) {
      this.missing -= chunk.length
      if (this.missing === 0 && chunk.length <= ONE_WRITE) {
        // Head, body and end in one write.
        endWhole(res, chunk)
        return
      }
    }
    const to = encoder ?? res
    this.given += chunk.length
    if (to.write(Buffer.from(chunk))) return
    if (this.paced) {
      if (controller.paused) return
      controller.pause()
      to.once('drain', () => controller.resume())
      return
    }
    if (this.behind === undefined) {
      this.controller = controller
      const behind = this.deps.spool.add(this)
      this.behind = behind
      to.on('drain', () => behind.drained())
    }
    this.behind.grew()
  }

  get caller(): string {
    const { caller, address } = this.visit
    return caller?.userId ?? limitedAddress(address)
  }

  get service(): string {
    return this.visit.route?.service ?? ''
  }

  unread(): number {
    const { encoder, res } = this
    const encoding = encoder === undefined ? 0 : encoder.writableLength + encoder.readableLength
    return encoding + res.writableLength
  }

  pause(): void {
    this.controller?.pause()
  }

  resume(): void {
    this.controller?.resume()
  }

  cut(): void {
    this.controller?.abort(new CallerGoneError())
    this.destroy()
  }

  /** Its client has all of it, or is gone. */
  closed(): void {
    this.behind?.gone()
    this.behind = undefined
  }

  end(): void {
    const { whole, encoder, res } = this
    this.behind?.ended()
    if (whole !== undefined) {
      // This writer may be kept for longer than its answer.
      this.whole = undefined
      this.encode(whole)
    } else if (encoder !== undefined) encoder.end()
    else if (!res.writableEnded) res.end()
  }

  /** The answer is not whole, or its client has gone. */
  destroy(): void {
    this.encoder?.destroy()
    this.res.destroy()
  }

  private encode({ status, list, common, coding, parts }: NonNullable<AnswerWriter['whole']>): void {
    const { deps, res, visit } = this
    const body = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
    const send = (encoded: Buffer | undefined) => {
      if (res.destroyed) return
      if (encoded === undefined) describeVariants(list)
      else describeCoding(list, coding, encoded.length)
      deps.heads.write(res, visit, status, list, common)
      res.end(encoded ?? body)
    }
    const encoded = encodeWhole(deps.compressor, body, coding, 'fast')
    if (encoded instanceof Promise)
      encoded.then(send).catch((error) => {
        deps.onFault('encoder', error)
        this.destroy()
      })
    else send(encoded)
  }
}

/**
 * A 304 speaks of the body that the client holds, whose ETag may be that of a coding. A cache in front takes its `Vary` for that of the body, so
 * coding is in it, too.
 */
function retagPairs(list: string[], asked: IncomingHttpHeaders): void {
  const ifNoneMatch = asked['if-none-match']
  describeVariants(list)
  const at = list.indexOf('etag')
  if (at === -1 || at % 2 !== 0 || ifNoneMatch === undefined) return
  list[at + 1] = retag(list[at + 1]!, ifNoneMatch, asked['accept-encoding'] as string | undefined)
}
