import type { IncomingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
import type { Visit } from '../../door/visit.ts'
import type { Fields, PlainHead } from './plain-head.ts'

/** A plain request, as a handler of Node's requests knows it. It has no body, so nobody listens to it. */
export class PlainRequest {
  readonly httpVersion = '1.1'
  readonly httpVersionMajor = 1
  readonly httpVersionMinor = 1
  readonly complete = true
  readonly hold = undefined
  /** As of Node's request; nothing of it has a time here. */
  passes = false
  visit: Visit | undefined
  readonly socket: Socket
  readonly method: string
  url: string
  /** The connection's, while its lines are the same: nobody may change them before `ownHeaders`. */
  headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly fields: Fields

  constructor(socket: Socket, { method, target, fields }: PlainHead) {
    this.socket = socket
    this.method = method
    this.url = target
    this.headers = fields.headers
    this.rawHeaders = fields.raw
    this.fields = fields
  }

  /** Gives it headers of its own, where it has none yet, for somebody who may change them. */
  ownHeaders(): void {
    if (this.headers === this.fields.headers) this.headers = { ...this.fields.headers }
  }

  /** There is nothing to read. */
  resume(): this {
    return this
  }
}
