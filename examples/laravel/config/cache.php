<?php
return ['default' => env('CACHE_DRIVER', 'array'), 'stores' => ['array' => ['driver' => 'array'], 'database' => ['driver' => 'database', 'table' => 'cache', 'connection' => null]], 'prefix' => 'laravel'];
