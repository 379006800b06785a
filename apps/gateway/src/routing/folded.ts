/** What a path may have that servers do not read alike: upper case, characters beyond ASCII, an ending. */
const ODD = /[A-Z.]|[^!-~]|\/$/
const ENDING = /[\s/.]+$/
const SUFFIX = /\.[a-z0-9]{1,8}$/

/** Whether some servers read a path as another one. Of ordinary paths it costs one look. */
export function isOdd(path: string): boolean {
  return ODD.test(path)
}

/**
 * The paths that some servers take a decoded path for: without regard to case, as Express does by default, to slashes, dots and white space at
 * the end, to forms of Unicode, and to a suffix that names a format (`/me.json`).
 */
export function foldedPaths(path: string): readonly string[] {
  const folded = foldCase(path).replace(ENDING, '') || '/'
  const bare = folded.replace(SUFFIX, '')
  return bare === folded ? [folded] : [folded, bare]
}

/** The pattern of a rule for such paths: parameters by their place, since names do not tell patterns apart. */
export function foldedPattern(pattern: string): string {
  return pattern
    .split('/')
    .map((segment, i) => (segment.startsWith(':') ? `:p${i}` : foldCase(segment)))
    .join('/')
    .replace(/(?<=.)[/.]+$/, '')
}

function foldCase(text: string): string {
  return text.normalize('NFKC').toUpperCase().toLowerCase()
}
