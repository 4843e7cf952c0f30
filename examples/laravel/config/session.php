<?php
return [
    'driver' => env('SESSION_DRIVER', 'database'), 'lifetime' => 120, 'expire_on_close' => false, 'encrypt' => false, 'connection' => null, 'table' => 'sessions', 'store' => null,
    'lottery' => [2, 100], 'cookie' => 'laravel_session', 'path' => '/', 'domain' => null, 'secure' => null, 'http_only' => true, 'same_site' => 'lax',
];
