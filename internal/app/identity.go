package app

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/secret"
	"github.com/serverplane/serverplane/internal/store"
)

// identity is who the panel is to its servers; it is the same for all instances
// on one database.
type identity struct {
	id     string
	signer ssh.Signer
	public string // authorized_keys form
	pem    []byte
}

const (
	settingPanelID  = "panel_id"
	settingPanelKey = "panel_key"
)

// identify loads the identity, or makes it at the first start.
func identify(ctx context.Context, s *store.Store, box *secret.Box) (identity, error) {
	var id, sealed []byte
	err := s.Write(ctx, func(tx *store.Tx) (err error) {
		id, err = tx.Setting(ctx, settingPanelID)
		if errors.Is(err, store.ErrNotFound) {
			id, sealed, err = create(ctx, tx, box)
			return err
		}
		if err != nil {
			return err
		}
		sealed, err = tx.Setting(ctx, settingPanelKey)
		return err
	})
	if err != nil {
		return identity{}, fmt.Errorf("load the panel's identity: %w", err)
	}
	raw, err := box.Unseal(sealed, plane.SealPanelKey())
	if err != nil {
		return identity{}, fmt.Errorf("open the panel's key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(raw)
	if err != nil {
		return identity{}, fmt.Errorf("read the panel's key: %w", err)
	}
	public := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))) + " serverplane"
	return identity{id: string(id), signer: signer, public: public, pem: raw}, nil
}

func create(ctx context.Context, tx *store.Tx, box *secret.Box) (id, sealed []byte, err error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the panel's key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "serverplane")
	if err != nil {
		return nil, nil, fmt.Errorf("encode the panel's key: %w", err)
	}
	if sealed, err = box.Seal(pem.EncodeToMemory(block), plane.SealPanelKey()); err != nil {
		return nil, nil, err
	}
	id = []byte(plane.NewID(plane.PrefixPanel))
	if err := tx.SetSetting(ctx, settingPanelID, id); err != nil {
		return nil, nil, err
	}
	return id, sealed, tx.SetSetting(ctx, settingPanelKey, sealed)
}

// own takes the data folder for this process and tells the instance's name,
// which outlives a restart: so a panel finds the Runs of its former life.
func own(dir string) (*os.File, string, error) {
	f, err := os.OpenFile(filepath.Join(dir, "instance"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, "", fmt.Errorf("open the instance file: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, "", errors.Join(fmt.Errorf("another panel runs on the data folder %s", dir), f.Close())
	}
	raw, err := os.ReadFile(f.Name())
	name := strings.TrimSpace(string(raw))
	if err == nil && name == "" {
		name = plane.NewID("ins_")
		_, err = f.WriteString(name + "\n")
	}
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("read the instance file: %w", err), f.Close())
	}
	return f, name, nil
}
