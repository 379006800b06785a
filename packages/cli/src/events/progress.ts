/** Tells how far long work is: one line that is written over on a terminal, a line for each tenth elsewhere. */
export function createProgress(what: string, stream: { isTTY?: boolean; write(text: string): unknown }) {
  let shown = ''
  let tenth = -1
  return {
    /** @param detail what stands after the percentage */
    show(done: number, total: number, detail: string): void {
      const share = total <= 0 ? 1 : Math.min(1, done / total)
      const line = `${what}: ${Math.floor(share * 100)} % (${detail})`
      if (stream.isTTY) {
        if (line !== shown) stream.write(`\r\x1b[2K${line}`)
      } else if (Math.floor(share * 10) !== tenth) stream.write(`${line}\n`)
      tenth = Math.floor(share * 10)
      shown = line
    },
    end(): void {
      if (stream.isTTY && shown !== '') stream.write('\n')
    }
  }
}
