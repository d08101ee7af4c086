/* Asks Microsoft's HLSL compilers about files, with the options that wgpu 30 compiles with.
 *
 *   compile.exe fxc|dxc
 *
 * Reads lines "FILE ENTRY PROFILE" (cs_5_1, cs_6_0, cs_6_2 with halves) from standard input and answers each with one
 * line, "ok MILLISECONDS" or "refused MILLISECONDS MESSAGE", of processor time: the machine may have other work. Exits
 * with 2 when the compiler cannot be loaded. It must lie beside the libraries.
 */
#define COBJMACROS
#include <initguid.h>
#include <windows.h>
#include <d3dcompiler.h>
#include <stdio.h>

typedef HRESULT(WINAPI *D3DCompileFn)(LPCVOID, SIZE_T, LPCSTR, const void *, void *, LPCSTR, LPCSTR, UINT, UINT,
                                      ID3DBlob **, ID3DBlob **);
typedef HRESULT(WINAPI *DxcCreateInstanceFn)(REFCLSID, REFIID, void **);

/* What is needed of dxcapi.h, which MinGW lacks. A blob of DXC begins as an ID3DBlob does. */
DEFINE_GUID(CLSID_DxcCompiler, 0x73e22d93, 0xe6ce, 0x47f3, 0xb5, 0xbf, 0xf0, 0x66, 0x4f, 0x39, 0xc1, 0xb0);
DEFINE_GUID(IID_IDxcCompiler3, 0x228b4687, 0x5a6a, 0x4730, 0x90, 0x0c, 0x97, 0x02, 0xb2, 0x20, 0x3f, 0x54);
DEFINE_GUID(IID_IDxcResult, 0x58346cda, 0xdde7, 0x4497, 0x94, 0x61, 0x6f, 0x87, 0xaf, 0x5e, 0x06, 0x59);

typedef struct { LPCVOID data; SIZE_T size; UINT encoding; } DxcBuffer;

typedef struct Result Result;
struct Result {
    struct {
        HRESULT(WINAPI *QueryInterface)(Result *, REFIID, void **);
        ULONG(WINAPI *AddRef)(Result *);
        ULONG(WINAPI *Release)(Result *);
        HRESULT(WINAPI *GetStatus)(Result *, HRESULT *);
        HRESULT(WINAPI *GetResult)(Result *, ID3DBlob **);
        HRESULT(WINAPI *GetErrorBuffer)(Result *, ID3DBlob **);
    } *methods;
};

typedef struct Compiler3 Compiler3;
struct Compiler3 {
    struct {
        HRESULT(WINAPI *QueryInterface)(Compiler3 *, REFIID, void **);
        ULONG(WINAPI *AddRef)(Compiler3 *);
        ULONG(WINAPI *Release)(Compiler3 *);
        HRESULT(WINAPI *Compile)(Compiler3 *, const DxcBuffer *, LPCWSTR *, UINT, void *, REFIID, void **);
    } *methods;
};

static D3DCompileFn fxc;
static Compiler3 *dxc;

static HRESULT with_fxc(const char *text, size_t size, const char *entry, const char *profile, ID3DBlob **errors) {
    ID3DBlob *code = NULL;
    HRESULT status =
        fxc(text, size, NULL, NULL, NULL, entry, profile, D3DCOMPILE_ENABLE_STRICTNESS, 0, &code, errors);
    if (code) ID3D10Blob_Release(code);
    return status;
}

static HRESULT with_dxc(const char *text, size_t size, const char *entry, const char *profile, ID3DBlob **errors) {
    WCHAR name[128], model[16];
    MultiByteToWideChar(CP_UTF8, 0, entry, -1, name, 128);
    MultiByteToWideChar(CP_UTF8, 0, profile, -1, model, 16);
    int halves = !strcmp(profile, "cs_6_2"); /* without the last option a half is a float */
    LPCWSTR arguments[] = {L"-E",  name,   L"-T",           model,
                           L"-HV", L"2018", L"-no-warnings", L"-Ges", L"-enable-16bit-types"};
    DxcBuffer source = {text, size, CP_UTF8};
    Result *result = NULL;
    HRESULT status =
        dxc->methods->Compile(dxc, &source, arguments, halves ? 9 : 8, NULL, &IID_IDxcResult, (void **)&result);
    if (FAILED(status)) return status;
    result->methods->GetStatus(result, &status);
    result->methods->GetErrorBuffer(result, errors);
    result->methods->Release(result);
    return status;
}

static char *contents(const char *name, size_t *size) {
    FILE *file = fopen(name, "rb");
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *text = calloc(*size + 1, 1);
    if (text && fread(text, 1, *size, file) != *size) *size = 0;
    fclose(file);
    return text;
}

/* The first error in one line. */
static void print_message(ID3DBlob *errors) {
    const char *text = errors ? ID3D10Blob_GetBufferPointer(errors) : NULL;
    size_t size = text ? ID3D10Blob_GetBufferSize(errors) : 0;
    size_t start = 0;
    for (size_t i = 0; i + 6 < size; i++) {
        if (text[i] == '\n') start = i + 1;
        if (!memcmp(text + i, "error", 5)) break;
    }
    for (; start < size && text[start] && text[start] != '\n' && text[start] != '\r'; start++) putchar(text[start]);
}

/* Milliseconds of processor time so far. */
static DWORD spent(void) {
    FILETIME created, ended;
    ULARGE_INTEGER kernel, user;
    GetProcessTimes(GetCurrentProcess(), &created, &ended, (FILETIME *)&kernel, (FILETIME *)&user);
    return (DWORD)((kernel.QuadPart + user.QuadPart) / 10000);
}

int main(int count, char **arguments) {
    int is_fxc = count == 2 && !strcmp(arguments[1], "fxc");
    HMODULE library = LoadLibraryA(is_fxc ? "d3dcompiler_47.dll" : "dxcompiler.dll");
    if (library && is_fxc) fxc = (D3DCompileFn)(void *)GetProcAddress(library, "D3DCompile");
    if (library && !is_fxc) {
        DxcCreateInstanceFn create = (DxcCreateInstanceFn)(void *)GetProcAddress(library, "DxcCreateInstance");
        if (create) create(&CLSID_DxcCompiler, &IID_IDxcCompiler3, (void **)&dxc);
    }
    if (!fxc && !dxc) {
        fprintf(stderr, "the compiler cannot be loaded: error %lu\n", GetLastError());
        return 2;
    }
    char file[512], entry[128], profile[16];
    while (scanf("%511s %127s %15s", file, entry, profile) == 3) {
        size_t size = 0;
        char *text = contents(file, &size);
        ID3DBlob *errors = NULL;
        DWORD start = spent();
        HRESULT status = !text || !size ? E_FAIL
                         : is_fxc       ? with_fxc(text, size, entry, profile, &errors)
                                        : with_dxc(text, size, entry, profile, &errors);
        printf("%s %lu ", SUCCEEDED(status) ? "ok" : "refused", spent() - start);
        if (FAILED(status)) {
            if (!errors) printf("status %08lx", (unsigned long)status);
            print_message(errors);
        }
        putchar('\n');
        fflush(stdout);
        if (errors) ID3D10Blob_Release(errors);
        free(text);
    }
    return 0;
}
