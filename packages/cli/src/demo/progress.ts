/** Where progress is written: `process.stdout`, or anything like it. */
export type Output = { write(text: string): unknown; isTTY?: boolean; columns?: number }

export type Progress = {
  /** Begins a stage; `from` is what an earlier run has done, which says nothing about this one's rate. */
  stage(name: string, total: number, options?: { unit?: 'bytes'; from?: number }): void
  /** Sets how much of the stage is done. */
  at(done: number): void
  add(n?: number): void
  /** Ends the stage with its line. */
  end(): void
  /** A line of its own above the bar. */
  line(text: string): void
  stop(): void
}

const BAR = 24

/** A bar with its rate on a terminal, a line every five seconds elsewhere. */
export function createProgress(out: Output): Progress {
  const tty = out.isTTY === true
  let stage: { name: string; total: number; bytes: boolean; start: number; done: number; from: number } | undefined
  const timer = setInterval(draw, tty ? 100 : 5000)
  timer.unref()

  function text(final: boolean): string {
    if (stage === undefined) return ''
    const { name, total, bytes, done, from, start } = stage
    const seconds = (performance.now() - start) / 1000
    const rate = seconds > 0 ? (done - from) / seconds : 0
    const count = bytes ? `${mega(done)}/${mega(total)} MB` : `${whole(done)}/${whole(total)}`
    const speed = bytes ? `${mega(rate)} MB/s` : `${whole(Math.round(rate))}/s`
    const wait = rate > 0 ? Math.ceil((total - done) / rate) : Number.POSITIVE_INFINITY
    // A guess of more than an hour only says that nothing has come yet.
    const left = !final && done < total && wait < 3600 ? `, ${whole(wait)} s left` : ''
    const share = total === 0 ? 1 : Math.min(1, done / total)
    const bar = tty && !final ? ` [${'█'.repeat(Math.round(share * BAR)).padEnd(BAR, '·')}]` : ''
    return `${name.padEnd(10)}${bar} ${count}  ${speed}${final ? `, ${seconds.toFixed(1)} s` : left}`
  }

  function draw(): void {
    if (stage === undefined) return
    if (tty) out.write(`\r\u001b[2K${text(false).slice(0, (out.columns ?? 100) - 1)}`)
    else out.write(`${text(false)}\n`)
  }

  const clear = () => (tty && stage !== undefined ? '\r\u001b[2K' : '')
  return {
    stage(name, total, { unit, from = 0 } = {}) {
      stage = { name, total, bytes: unit === 'bytes', start: performance.now(), done: from, from }
    },
    at(done) {
      if (stage !== undefined) stage.done = done
    },
    add(n = 1) {
      if (stage !== undefined) stage.done += n
    },
    end() {
      if (stage === undefined) return
      out.write(`${clear()}${text(true)}\n`)
      stage = undefined
    },
    line(line) {
      out.write(`${clear()}${line}\n`)
    },
    stop() {
      if (stage !== undefined && tty) out.write('\n')
      stage = undefined
      clearInterval(timer)
    }
  }
}

function mega(bytes: number): string {
  return (bytes / 1e6).toFixed(1)
}

export function whole(n: number): string {
  return n.toLocaleString('en-US')
}
