<?php
// Laravel as Debian packages it, instead of a vendor folder: what public/index.php and artisan begin with.
require '/usr/share/php/Illuminate/autoload.php';
spl_autoload_register(function ($class) {
    $file = __DIR__ . '/app/' . str_replace('\\', '/', substr($class, 4)) . '.php';
    if (str_starts_with($class, 'App\\') && is_file($file)) require $file;
});
