import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'

/**
 * The options of a test that needs what this machine may lack. It is skipped with the reason, except where CI is set: there it throws, since
 * a test that is always skipped proves nothing.
 *
 * @param missing what is missing and how to get it; undefined when all is there
 */
export function skipWithout(
  missing: string | undefined,
  env: Record<string, string | undefined> = process.env
): { skip: string | false } {
  if (missing === undefined) return { skip: false }
  if (!['', '0', 'false'].includes(env.CI ?? '')) throw new Error(`CI is set, and nothing may be skipped: ${missing}`)
  return { skip: missing }
}

/** What is missing when a command is not on PATH, with the Debian package that has it, for {@link skipWithout}. */
export async function missingCommand(
  command: string,
  debianPackage: string,
  path = process.env.PATH ?? ''
): Promise<string | undefined> {
  for (const folder of path.split(delimiter)) {
    try {
      await access(join(folder, command), constants.X_OK)
      return undefined
    } catch {
      // It is not in this folder.
    }
  }
  return `there is no ${command}: apt-get install ${debianPackage}`
}
