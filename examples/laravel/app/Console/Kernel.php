<?php
namespace App\Console;

use Illuminate\Console\Scheduling\Schedule;
use Illuminate\Support\Facades\DB;

class Kernel extends \Illuminate\Foundation\Console\Kernel
{
    protected function schedule(Schedule $schedule)
    {
        $schedule->call(fn () => DB::table('ticks')->insert(['server' => env('SERVERPLANE_SERVER'), 'at' => now()]))->everyMinute();
    }
}
