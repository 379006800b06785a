/** Colours of a terminal; where output is no terminal, or NO_COLOR is set, text stays as it is. */
export type Paint = (style: 'dim' | 'cyan' | 'green' | 'yellow' | 'red', text: string) => string

const CODES = { dim: 2, cyan: 36, green: 32, yellow: 33, red: 31 } as const

export function painter(colours: boolean): Paint {
  return (style, text) => (colours ? `\x1b[${CODES[style]}m${text}\x1b[0m` : text)
}

export function hasColours(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && !env.NO_COLOR
}

/** `3 s`, `5 min`, `2 h`, `4 d` since a time; `-` for none. */
export function ageOf(time: string | null, now = Date.now()): string {
  if (time === null) return '-'
  const seconds = Math.max(0, (now - Date.parse(time)) / 1_000)
  if (seconds < 120) return `${Math.round(seconds)} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`
}

/** Bytes in the largest unit that fits: `1.4 MB`. */
export function sizeOf(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  for (; value >= 1_000 && unit < units.length - 1; unit++) value /= 1_000
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}

/** A time as people read it, in UTC: `2026-11-24 17:54:10`; `-` for none. */
export function shortTime(time: string | undefined): string {
  if (time === undefined || time === '' || time.startsWith('0001-')) return '-'
  return new Date(time).toISOString().slice(0, 19).replace('T', ' ')
}

/**
 * Text on its way to a terminal, without what would steer it: control characters become their pictures. Payloads and errors hold what
 * anybody may have written.
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (c) =>
    c < ' ' ? String.fromCharCode(0x2400 + c.charCodeAt(0)) : '\ufffd'
  )
}

/** JSON over several lines, its names in a colour; what is no JSON as it is. */
export function prettyPayload(text: string, paint: Paint): string {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return printable(text)
  }
  const lines = printable(JSON.stringify(value, null, 2)).split('\n')
  return lines
    .map((line) =>
      line.replace(
        /^(\s*)("(?:[^"\\]|\\.)*")(: )/,
        (_, indent, name, colon) => `${indent}${paint('cyan', name)}${colon}`
      )
    )
    .join('\n')
}

/** Cuts a text to a column. */
export function cut(text: string, length: number): string {
  const line = printable(text).replaceAll('\n', ' ')
  return line.length > length ? `${line.slice(0, length - 1)}…` : line
}
