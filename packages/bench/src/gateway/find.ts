import { execFile } from 'node:child_process'
import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

/** Debian keeps servers where the PATH of an ordinary user does not reach. */
const SYSTEM = ['/usr/sbin', '/usr/local/sbin']

const run = promisify(execFile)

/** Prints the files of the distribution named first that are called as the second says, a path a line. */
const LIST_FILES = `
import importlib.metadata as metadata, sys
try:
    for file in metadata.files(sys.argv[1]) or []:
        if file.name == sys.argv[2]: print(file.locate().resolve())
except metadata.PackageNotFoundError:
    pass
`

/** The first program of that name on PATH; scripts that only start another program are passed over. */
export function findOnPath(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), ...SYSTEM]
  return folders.map((folder) => join(folder, name)).find(isProgram)
}

/** A program that a Python distribution has brought, for the python3 on PATH. */
export async function findInPython(distribution: string, name: string): Promise<string | undefined> {
  const python = findOnPath('python3') === undefined ? 'python' : 'python3'
  try {
    const { stdout } = await run(python, ['-c', LIST_FILES, distribution, name])
    return stdout.split('\n').find((path) => path !== '' && isProgram(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** The first version number in what a program says when asked; servers say it on either stream, and with any exit code. */
export async function versionOf(binary: string, args: string[]): Promise<string> {
  const said = await run(binary, args).catch((error: { stdout?: string; stderr?: string }) => error)
  return /\d+\.\d+\.\d+/.exec(`${said.stdout ?? ''}${said.stderr ?? ''}`)?.[0] ?? 'of unknown version'
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile() && !isScript(path)
  } catch {
    return false
  }
}

function isScript(path: string): boolean {
  const file = openSync(path, 'r')
  try {
    const start = Buffer.alloc(2)
    readSync(file, start)
    return start.toString() === '#!'
  } finally {
    closeSync(file)
  }
}
