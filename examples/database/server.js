// Writes a row that names its backend for each POST and reads all rows on GET.
// Everything about the database comes from the variables ServerPlane computes.
const fs = require('node:fs')
const http = require('node:http')
const mysql = require('mysql2/promise')
const { Pool } = require('pg')

const env = process.env
const about = { server: env.SERVERPLANE_SERVER, release: env.SERVERPLANE_RELEASE, pid: process.pid }

function postgresql() {
  const pool = new Pool({ connectionString: env.DATABASE_URL, max: 4, connectionTimeoutMillis: 4000 })
  pool.on('error', (err) => console.log(`a connection was lost: ${err.message}`)) // the pool opens another
  return (text, values) => pool.query(text, values).then((r) => r.rows)
}

function mariadb() {
  const pool = mysql.createPool({
    host: env.DB_HOST, port: Number(env.DB_PORT), user: env.DB_USERNAME, password: env.DB_PASSWORD, database: env.DB_DATABASE,
    connectionLimit: 4, connectTimeout: 4000, ssl: env.DB_SSL_CA ? { ca: fs.readFileSync(env.DB_SSL_CA) } : undefined,
  })
  return (text, values) => pool.query(text.replace(/\$\d/g, '?'), values).then(([rows]) => rows)
}

const query = { pgsql: postgresql, mysql: mariadb }[env.DB_CONNECTION]?.()

// Two backends may come to this at the same moment; PostgreSQL tells one of them that the table's name is taken.
const prepare = () => query('CREATE TABLE IF NOT EXISTS visits (server VARCHAR(64) NOT NULL)').catch((err) => {
  if (err.code !== '23505' && err.code !== '42P07') throw err
})

async function answer(req) {
  if (req.url === '/health' || !query) return about // a database that is away must not take every backend down
  if (req.url === '/env') return { ...about, host: env.DB_HOST, password: env.DB_PASSWORD, url: env.DATABASE_URL }
  await prepare()
  if (req.method === 'POST') {
    await query('INSERT INTO visits (server) VALUES ($1)', [about.server])
    return about
  }
  const rows = await query('SELECT server, COUNT(*) AS n FROM visits GROUP BY server')
  return { ...about, rows: Object.fromEntries(rows.map((r) => [r.server, Number(r.n)])) }
}

const server = http.createServer(async (req, res) => {
  req.resume()
  try {
    const body = JSON.stringify(await answer(req))
    res.writeHead(200, { 'content-type': 'application/json' }).end(body)
  } catch (err) {
    console.log(`${req.method} ${req.url}: ${err.message}`)
    res.writeHead(500, { 'content-type': 'application/json' }).end(JSON.stringify({ ...about, error: err.message }))
  }
})
server.listen(Number(env.PORT), env.HOST, () => console.log(`listening on ${env.HOST}:${env.PORT}`))
process.on('SIGTERM', () => server.close(() => process.exit(0)))
