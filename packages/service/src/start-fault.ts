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
      return `port ${port} is taken: give another as ${name} (0 takes a free one), or stop what has it`
    case 'EACCES':
      return `port ${port} may not be taken by this user: give one above 1023 as ${name}`
    case 'EADDRNOTAVAIL':
    case 'EAI_AGAIN':
    case 'ENOTFOUND':
      return `HOST ${host} is no address of this machine: give 127.0.0.1, or 0.0.0.0 to be reached from elsewhere`
    default:
      return undefined
  }
}
