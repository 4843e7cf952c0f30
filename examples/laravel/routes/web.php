<?php
// Pages that say which backend served. Not for production: they exist so that the tests can look inside.
use App\Jobs\Note;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Route;

$about = fn () => ['server' => getenv('SERVERPLANE_SERVER'), 'release' => getenv('SERVERPLANE_RELEASE'), 'version' => config('app.version')];

Route::get('/', fn (Request $r) => $about() + ['ip' => $r->ip(), 'secure' => $r->secure(), 'cached' => app()->configurationIsCached()]);
Route::get('/visits', function (Request $r) use ($about) {
    $r->session()->put('visits', $n = $r->session()->get('visits', 0) + 1);
    return $about() + ['visits' => $n];
});
Route::get('/form', fn (Request $r) => ['token' => $r->session()->token()]);
Route::post('/form', function (Request $r) use ($about) {
    Note::dispatch($r->input('text'));
    return $about();
});
Route::get('/notes', fn () => DB::table('notes')->get());
Route::get('/env/{name}', fn ($name) => getenv($name) === false ? abort(404) : ['sha256' => hash('sha256', getenv($name)), 'bytes' => strlen(getenv($name))]);
