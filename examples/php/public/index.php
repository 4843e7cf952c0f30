<?php
// A page that says which backend served and counts visits in a session kept in files. Not for production: /env and
// /server exist so that the tests can look inside.
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
header('Content-Type: application/json');
$about = ['server' => getenv('SERVERPLANE_SERVER'), 'release' => getenv('SERVERPLANE_RELEASE'), 'version' => getenv('APP_VERSION') ?: 'none'];
if (str_starts_with($path, '/env/')) {
    $value = getenv(substr($path, 5));
    if ($value === false) { http_response_code(404); exit('{}'); }
    exit(json_encode(['sha256' => hash('sha256', $value), 'bytes' => strlen($value)]));
}
if ($path === '/visits') {
    session_start();
    $about['visits'] = $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
}
if ($path === '/server') $about['asked'] = array_intersect_key($_SERVER, array_flip(['HTTPS', 'REMOTE_ADDR', 'SERVER_PORT', 'REQUEST_SCHEME', 'PATH_INFO']));
if ($path === '/slow') usleep(1000 * (int) ($_GET['ms'] ?? 3000));
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $body = file_get_contents('php://input');
    $about += ['length' => strlen($body), 'sha256' => hash('sha256', $body)];
}
echo json_encode($about);
