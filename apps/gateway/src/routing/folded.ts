/** What a path may have that servers do not read alike: upper case, characters beyond ASCII, an ending. */
const ODD = /[A-Z.]|[^!-~]|\/$/
const SPACE = /\s/

/** Whether some servers read a path as another one. Of ordinary paths it costs one look. */
export function isOdd(path: string): boolean {
  return ODD.test(path)
}

/**
 * The paths that some servers take a decoded path for: without regard to case, as Express does by default, to slashes, dots and white space at
 * the end, to forms of Unicode, and to a suffix that names a format: the last (`/me.json`), or all from the first dot on (`/me.tar.gz`, as
 * Spring's `/me.*`), however long it is.
 */
export function foldedPaths(path: string): readonly string[] {
  const folded = withoutEnding(foldCase(path)) || '/'
  const segment = folded.lastIndexOf('/') + 1
  const last = folded.lastIndexOf('.')
  if (last < segment) return [folded]
  const first = folded.indexOf('.', segment)
  const bare = withoutEnding(folded.slice(0, first)) || '/'
  return first === last ? [folded, bare] : [folded, folded.slice(0, last), bare]
}

/** The pattern of a rule for such paths: parameters by their place, since names do not tell patterns apart. */
export function foldedPattern(pattern: string): string {
  const folded = pattern
    .split('/')
    .map((segment, i) => (segment.startsWith(':') ? `:p${i}` : foldCase(segment)))
    .join('/')
  return withoutEnding(folded) || '/'
}

/** Without the slashes, dots and white space at its end. By hand: a pattern that is held at the end alone looks again from each of them. */
function withoutEnding(path: string): string {
  let end = path.length
  while (end > 0 && (path[end - 1] === '/' || path[end - 1] === '.' || SPACE.test(path[end - 1]!))) end--
  return path.slice(0, end)
}

function foldCase(text: string): string {
  return text.normalize('NFKC').toUpperCase().toLowerCase()
}
