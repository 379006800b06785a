/** `pinNote` of `pin-note`. */
export const camel = (kebab: string) => kebab.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase())

/** `pin-note` of `pinNote`. */
export const kebab = (camelCase: string) => camelCase.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

export const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)
