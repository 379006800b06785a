export { isBlank, normal, trim } from './characters.ts'
export { type Fault, isFault, taken } from './fault.ts'
export { email, emailForms, emailKey, loginKey, tidy, usernameKey } from './identifiers.ts'
export { bio, displayName, line, tag, tags, text, withNfc } from './words.ts'
