import { benchPosts } from './posts/run.ts'
import { postsText } from './posts/report.ts'
const result = await benchPosts(Number(process.argv[2] ?? 3), (line) => console.log(line))
console.log(postsText(result))
