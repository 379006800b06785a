import { readFile, stat } from 'node:fs/promises'

/** Larger files are no lists of routes. */
const LARGEST_BYTES = 4 * 1024 * 1024

/** Reads where routes and rules are, each time anew; for `openFixedList`. */
export function textsOf(config: {
  ROUTES?: string | undefined
  ROUTES_FILE?: string | undefined
  RULES_FILE?: string | undefined
}): () => Promise<{ routes: string; rules: string }> {
  const { ROUTES, ROUTES_FILE, RULES_FILE } = config
  if (ROUTES !== undefined && ROUTES_FILE !== undefined)
    throw new Error('ROUTES and ROUTES_FILE are both there: give one of them')
  return async () => ({
    routes: ROUTES_FILE === undefined ? (ROUTES ?? '') : await readBounded('ROUTES_FILE', ROUTES_FILE),
    rules: RULES_FILE === undefined ? '[]' : await readBounded('RULES_FILE', RULES_FILE)
  })
}

async function readBounded(name: string, path: string): Promise<string> {
  try {
    const { size } = await stat(path)
    if (size > LARGEST_BYTES) throw new Error(`it has ${size} bytes, and ${LARGEST_BYTES} at most are read`)
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new Error(`${name} ${path} cannot be read: ${(error as Error).message}. Give the path of a text file`, {
      cause: error
    })
  }
}
