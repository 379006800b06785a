/** A fault at the start that whoever starts the app can mend: told in one line, without a stack. */
export class StartFault extends Error {}

/**
 * What turns the error of a server that cannot listen into a line that names the setting to change. Other errors are thrown as they are.
 *
 * @param name the setting that has the port
 */
export function cannotListen(
  name: 'PORT' | 'OPS_PORT',
  host: string,
  port: number
): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    const what = faultOf(error.code, name, host, port)
    throw what === undefined ? error : new StartFault(what, { cause: error })
  }
}

function faultOf(code: string | undefined, name: string, host: string, port: number): string | undefined {
  switch (code) {
    case 'EADDRINUSE':
      return `port ${port} is in use: set ${name} to another port (0 picks a free one), or stop the process that uses it`
    case 'EACCES':
      return `port ${port} requires more privileges than this user has: use a port above 1023 for ${name}`
    case 'EADDRNOTAVAIL':
    case 'EAI_AGAIN':
    case 'ENOTFOUND':
      return `HOST ${host} is not an address of this machine: use 127.0.0.1, or 0.0.0.0 to accept connections from other machines`
    default:
      return undefined
  }
}
