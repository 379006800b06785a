import { ProtocolError, parseLine } from './head.ts'

const LF = 10
const CR = 13
const SEMICOLON = 59
/** Bytes of one size line with its extensions, and of all trailers. */
const LONGEST_LINE = 4_096
const LONGEST_TRAILERS = 16_384
type State = 'size' | 'extension' | 'size-lf' | 'data' | 'data-cr' | 'data-lf' | 'trailer' | 'done'

/**
 * Reads a chunked body (RFC 9112, 7.1) as it comes in pieces of any size. Extensions are read over: a service has no use for
 * them that a phone would see. Line ends must be CRLF.
 */
export class ChunkReader {
  private state: State = 'size'
  private size = 0
  private digits = 0
  private line = 0
  /** A chunk extension has begun, and its name not yet. */
  private unnamed = false
  private trailerBytes = 0
  /** Bytes of the present trailer line so far, without CR. */
  private trailerLine = 0
  private lastWasCr = false
  /** The trailers as they came, CR for each line end. */
  private trailerText = ''

  get done(): boolean {
    return this.state === 'done'
  }

  /**
   * Reads from `from` to `to`, and gives the data found to `onData` as parts of `bytes`. Answers where it stopped: `to`, or behind the end of
   * the body. Throws a ProtocolError for anything else than chunks.
   */
  read(bytes: Buffer, from: number, to: number, onData: (part: Buffer) => void): number {
    let at = from
    while (at < to && this.state !== 'done') {
      if (this.state === 'data') {
        const end = Math.min(to, at + this.size)
        onData(bytes.subarray(at, end))
        this.size -= end - at
        at = end
        if (this.size === 0) this.state = 'data-cr'
      } else this.byte(bytes[at++]!)
    }
    return at
  }

  /** What came behind the chunks, once all of it has; of a name that is there twice the values in one. */
  trailers(): Record<string, string> {
    const found: Record<string, string> = {}
    for (const line of this.lines()) {
      const [name, value] = parseLine(line)!
      found[name] = Object.hasOwn(found, name) ? `${found[name]}, ${value}` : value
    }
    return found
  }

  /** What is no header line is refused as it is in a head: another parser could read it in another way. */
  private end(): void {
    for (const line of this.lines()) {
      if (parseLine(line) === undefined) throw new ProtocolError('a bad trailer')
    }
    this.state = 'done'
  }

  private lines(): string[] {
    return this.trailerText === '' ? [] : this.trailerText.split('\r').slice(0, -1)
  }

  private byte(code: number): void {
    switch (this.state) {
      case 'size':
        this.sizeByte(code)
        break
      case 'extension':
        if (this.unnamed && (code === CR || code === SEMICOLON))
          throw new ProtocolError('a chunk extension without a name')
        this.unnamed = code === SEMICOLON || (this.unnamed && (code === 32 || code === 9))
        if (code === CR) this.state = 'size-lf'
        else if (code < 32 && code !== 9) throw new ProtocolError('a bad chunk extension')
        else if (++this.line > LONGEST_LINE) throw new ProtocolError('a chunk extension without end')
        break
      case 'size-lf':
        if (code !== LF) throw new ProtocolError('a bad chunk size')
        this.state = this.size === 0 ? 'trailer' : 'data'
        break
      case 'data-cr':
        if (code !== CR) throw new ProtocolError('a chunk longer than its size')
        this.state = 'data-lf'
        break
      case 'data-lf':
        if (code !== LF) throw new ProtocolError('a chunk longer than its size')
        this.state = 'size'
        this.size = 0
        this.digits = 0
        this.line = 0
        break
      case 'trailer':
        this.trailerByte(code)
        break
    }
  }

  private sizeByte(code: number): void {
    const digit = hexDigit(code)
    if (digit >= 0) {
      if (++this.digits > 13) throw new ProtocolError('a chunk too large')
      this.size = this.size * 16 + digit
    } else if (this.digits === 0) throw new ProtocolError('a bad chunk size')
    else if (code === CR) this.state = 'size-lf'
    else if (code === SEMICOLON) {
      this.state = 'extension'
      this.unnamed = true
    } else throw new ProtocolError('a bad chunk size')
  }

  private trailerByte(code: number): void {
    if (++this.trailerBytes > LONGEST_TRAILERS) throw new ProtocolError('trailers without end')
    if (this.lastWasCr) {
      if (code !== LF) throw new ProtocolError('a bad trailer')
      this.lastWasCr = false
      if (this.trailerLine === 0) this.end()
      this.trailerLine = 0
    } else if (code === CR) {
      this.lastWasCr = true
      if (this.trailerLine > 0) this.trailerText += '\r'
    } else if (code === LF || code === 0) throw new ProtocolError('a bad trailer')
    else {
      this.trailerLine++
      this.trailerText += String.fromCharCode(code)
    }
  }
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}
